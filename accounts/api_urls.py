"""Routes of the accounts part of `/api/v1`."""

from django.urls import path

from accounts.api import organisations, sign_in, users

urlpatterns = [
    path("auth/signup", sign_in.SignUp.as_view()),
    path("auth/login", sign_in.Login.as_view()),
    path("auth/refresh", sign_in.Refresh.as_view()),
    path("auth/logout", sign_in.Logout.as_view()),
    path("users/me", users.Me.as_view()),
    path("organizations", organisations.Organisations.as_view()),
    path("organizations/<uuid:organisation_id>/members", organisations.Members.as_view()),
]
