from django.urls import include, path

urlpatterns = [path("", include("burn_note.urls"))]

handler400 = "burn_note.views.bad_request"
handler404 = "burn_note.views.not_found"
handler500 = "burn_note.views.server_error"
