from django.urls import path

from accounts.views import organisations, sign_in

app_name = "accounts"
urlpatterns = [
    path("sign-in", sign_in.sign_in, name="sign_in"),
    path("sign-out", sign_in.sign_out, name="sign_out"),
    path("organisation/switch", organisations.switch_organisation, name="switch_organisation"),
]
