from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from burn_note import views

PAGES = {
    "400": (views.NOT_UNDERSTOOD, views.NOTHING),
    "404": (views.NO_PAGE, views.LINK_IS_CHANGED),
    "413": (
        _("This is larger than the site takes. Nothing was stored."),
        views.NOT_ARRIVED,
    ),
    "429": (
        _(
            "Too many requests from your address. Nothing was stored or destroyed. Try again"
            " in a minute."
        ),
        views.RELOAD,
    ),
    "502": (
        _(
            "The site does not answer just now. If you sent it something, it is not sure"
            " whether a note was stored or destroyed."
        ),
        views.RELOAD,
    ),
}


class Command(BaseCommand):
    help = (
        "Writes the pages that nginx shows where it refuses by itself into STATIC_ROOT, as"
        " errors/LANGUAGE/STATUS.html, errors/default being those of LANGUAGE_CODE. They name"
        " static files: call it after collectstatic."
    )

    def handle(self, *args, **options):
        languages = {code: code for code, _name in settings.LANGUAGES}
        for name, language in (languages | {"default": settings.LANGUAGE_CODE}).items():
            directory = Path(settings.STATIC_ROOT) / "errors" / name
            directory.mkdir(parents=True, exist_ok=True)
            for status, (text, hint) in PAGES.items():
                with translation.override(language):
                    page = render_to_string("burn_note/trouble.html", {"text": text, "hint": hint})
                # nobody meets half a page
                written = directory / f"{status}.new"
                written.write_text(page)
                written.replace(directory / f"{status}.html")
