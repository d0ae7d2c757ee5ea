from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BurnNoteConfig(AppConfig):
    name = "burn_note"
    verbose_name = _("Notes that burn")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from . import checks  # noqa: F401 (registers them)
