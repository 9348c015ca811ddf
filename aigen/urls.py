from django.urls import path

from aigen import views

app_name = "aigen"
urlpatterns = [
    path("studio", views.studio, name="studio"),
    path("studio/<uuid:generation_id>", views.generation, name="generation"),
    path("studio/<uuid:generation_id>/panel", views.generation_panel, name="generation_panel"),
    path("studio/<uuid:generation_id>/cancel", views.cancel, name="generation_cancel"),
    path("studio/<uuid:generation_id>/retry", views.retry, name="generation_retry"),
]
