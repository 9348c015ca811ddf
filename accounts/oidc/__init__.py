"""Signing in through an OpenID Connect provider (OpenID Connect Core 1.0), hardened mozilla-django-oidc.

    configuration   what the environment says, and whether the feature is on
    transport       one HTTP call, with an end in time and in size
    provider        discovery, signing keys, token endpoint, userinfo endpoint
    tokens          which signed tokens are believed
    claims          what is read from them: a person
    backend         the library's backend: from a code to a user
    flow            the library's views: to the provider and back

`transport` and what stands on it load HTTP clients, which takes longer than the rest of accounts, so they are imported
where they are used: `manage.py check` and installations without a provider never load them. `configuration` and
`claims` are light.
"""
