from django.urls import include, path

urlpatterns = [path("", include("burn_note.urls"))]
