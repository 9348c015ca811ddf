"""Every HTTP route."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from platform_site.admin_site import open_admin_to_all_organisations
from platform_site.api import urlpatterns as api_urls
from platform_site.dashboard import dashboard

open_admin_to_all_organisations()

handler400 = "platform_site.lib.http.handler400"
handler403 = "platform_site.lib.http.handler403"
handler404 = "platform_site.lib.http.handler404"
handler500 = "platform_site.lib.http.handler500"

urlpatterns = [
    path("", dashboard, name="dashboard"),
    path("favicon.ico", RedirectView.as_view(url="/static/img/favicon.svg", permanent=True), name="favicon"),
    path(settings.ADMIN_PATH, admin.site.urls),
    path("api/", include(api_urls)),
    path("", include("observability.urls")),
    path("", include("accounts.urls")),
    path("", include("runs.urls")),
    path("", include("aigen.urls")),
    path("", include("conversations.urls")),
    path("", include("deployments.urls")),
    path("", include("appliances.urls")),
]
