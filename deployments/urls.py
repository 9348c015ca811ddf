from django.urls import path

from deployments import views

app_name = "deployments"
urlpatterns = [
    path("studio/<uuid:generation_id>/deploy", views.deploy, name="deploy"),
    path("apps", views.apps, name="apps"),
    path("apps/<uuid:app_id>", views.app, name="app"),
    path("apps/<uuid:app_id>/panel", views.app_panel, name="app_panel"),
    path("deployments/<uuid:deployment_id>/stop", views.stop, name="stop"),
    path("deployments/<uuid:deployment_id>/restart", views.restart, name="restart"),
    path("deployments/<uuid:deployment_id>/cancel", views.cancel, name="cancel"),
    path("deployments/<uuid:deployment_id>/rollback", views.rollback, name="rollback"),
]
