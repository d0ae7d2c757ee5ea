from django.urls import path

from . import views

app_name = "burn_note"
urlpatterns = [
    path("", views.create, name="create"),
    path("share/<slug:once>/", views.share, name="share"),
    path("open/", views.open, name="open"),
    path("reveal/", views.reveal, name="reveal"),
    path("status/", views.status, name="status"),
    path("burn/", views.burn, name="burn"),
]
