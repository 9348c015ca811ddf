"""The routes of appliances under `/api/v1`: devices first, then people."""

from django.urls import path

from appliances import api, device_api

urlpatterns = [
    path("enroll", device_api.Enroll.as_view()),
    path("heartbeat", device_api.Heartbeats.as_view()),
    path("appliance/<uuid:appliance_id>/config", device_api.Config.as_view()),
    path("appliances", api.Appliances.as_view()),
    path("appliances/<uuid:appliance_id>", api.ApplianceDetail.as_view()),
]
