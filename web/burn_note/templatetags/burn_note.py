from datetime import datetime, timezone

from django import template
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def moment(value: datetime) -> SafeString:
    """A <time> in UTC, which the page's script puts into the reader's own time zone."""
    utc = value.astimezone(timezone.utc)
    return format_html(
        '<time datetime="{}">{} UTC</time>', utc.isoformat(), date_format(utc, "DATETIME_FORMAT")
    )
