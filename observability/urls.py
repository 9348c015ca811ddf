from django.urls import path
from django_prometheus.exports import ExportToDjangoView

from observability import views

app_name = "observability"
urlpatterns = [
    path("health", views.alive, name="alive"),
    path("health/ready", views.ready, name="ready"),
    path("metrics", ExportToDjangoView, name="metrics"),
]
