from datetime import datetime, timezone

from django import template
from django.urls import get_script_prefix
from django.utils import translation
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from .. import states
from ..notes import Status

register = template.Library()


@register.filter
def moment(value: datetime) -> SafeString:
    """A <time> in UTC, which the page's script puts into the reader's own time zone."""
    utc = value.astimezone(timezone.utc)
    return format_html(
        '<time datetime="{}">{} UTC</time>', utc.isoformat(), date_format(utc, "DATETIME_FORMAT")
    )


@register.filter
def heading(status: Status) -> str:
    return states.of(status).heading


@register.filter
def ending(status: Status) -> SafeString:
    """What has become of a note that is gone, for who follows its link."""
    when = status.expires_at if status.state == "expired" else status.closed_at
    return mark_safe(states.of(status).ending % {"when": when and moment(when)})


class Fixed(template.Node):
    def __init__(self, nodes: template.NodeList):
        self.nodes = nodes
        self.rendered: dict[tuple[str | None, str], SafeString] = {}

    def render(self, context: template.Context) -> SafeString:
        key = context.render_context.get(Fixed)
        if key is None:
            key = translation.get_language(), get_script_prefix()
            context.render_context[Fixed] = key
        if key not in self.rendered:
            # with no variable: nothing of this request gets into the next one's page
            self.rendered[key] = self.nodes.render(context.new())
        return self.rendered[key]


@register.tag
def fixed(parser, token) -> Fixed:
    """{% fixed %}...{% endfixed %}: what is the same on each page in one language. It is
    rendered once, and knows no variables."""
    nodes = parser.parse(["endfixed"])
    parser.delete_first_token()
    return Fixed(nodes)
