"""Error reports without secrets, with DEBUG on too."""

from django.views.debug import SafeExceptionReporterFilter


class ExceptionReporterFilter(SafeExceptionReporterFilter):
    """Django's own filter, which it switches off where DEBUG is on.

    The app's views use it. For calls of burn_note.notes from your own views, make it
    the project's: DEFAULT_EXCEPTION_REPORTER_FILTER.
    """

    def is_active(self, request) -> bool:
        return True
