from django.urls import path

from runs import views

app_name = "runs"
urlpatterns = [
    path("runs", views.runs, name="runs"),
    path("runs/<uuid:run_id>", views.run, name="run"),
    path("runs/<uuid:run_id>/cancel", views.cancel, name="cancel"),
    path("runs/<uuid:run_id>/retry", views.retry, name="retry"),
]
