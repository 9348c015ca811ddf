from django.urls import path

from appliances import views

app_name = "appliances"
urlpatterns = [
    path("appliances", views.appliances, name="appliances"),
    path("appliances/<uuid:appliance_id>", views.appliance, name="appliance"),
]
