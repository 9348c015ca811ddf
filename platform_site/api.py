"""Every route of `/api`."""

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from accounts import openapi as openapi  # registers how callers say who they are
from aigen import api as aigen
from observability import api as observability
from runs import api as runs

# Swagger UI sets styles on its elements.
swagger = csp_update({"style-src": [SELF, UNSAFE_INLINE]})

v1: list[URLPattern | URLResolver] = [
    path("", include("accounts.api_urls")),
    path("health", observability.Health.as_view()),
    path("generate", aigen.Generate.as_view()),
    path("generations", aigen.Generations.as_view()),
    path("generations/<uuid:generation_id>", aigen.GenerationDetail.as_view()),
    path("generations/<uuid:generation_id>/files", aigen.GenerationFiles.as_view()),
    path("generations/<uuid:generation_id>/archive", aigen.GenerationArchive.as_view()),
    path("languages", aigen.Languages.as_view()),
    path("models", aigen.Models.as_view()),
    path("runs", runs.Runs.as_view()),
    path("runs/<uuid:run_id>", runs.RunDetail.as_view()),
    path("runs/<uuid:run_id>/cancel", runs.RunCancel.as_view()),
    path("runs/<uuid:run_id>/retry", runs.RunRetry.as_view()),
    path("runs/<uuid:run_id>/events", runs.RunEvents.as_view()),
    path("", include("conversations.api_urls")),
    path("", include("deployments.api_urls")),
    path("", include("appliances.api_urls")),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", swagger(SpectacularSwaggerSplitView.as_view(url_name="schema")), name="docs"),
    path("v1/", include(v1)),
]
