"""What becomes of deployments and their files when their organisation is deleted."""

from __future__ import annotations

import logging
import shutil
import uuid
from pathlib import Path

from django.conf import settings
from django.db import transaction

from accounts.closing import when_organisation_is_purged
from accounts.tenancy import all_organisations
from deployments.models import App, Deployment, Release

logger = logging.getLogger(__name__)


@when_organisation_is_purged
def deployments_delete_all(organisation_id: uuid.UUID) -> None:
    """Deletes deployments, which keep their releases from being deleted, and after the commit the files of both."""
    with all_organisations():
        apps = list(App.objects.filter(organisation_id=organisation_id).values_list("pk", flat=True))
        releases = list(Release.objects.filter(organisation_id=organisation_id).values_list("pk", flat=True))
        Deployment.objects.filter(organisation_id=organisation_id).delete()
    folders = [settings.STEWARD_VAR_DIR / "data" / str(app_id) for app_id in apps]
    folders += [settings.STEWARD_VAR_DIR / "deployments" / str(release_id) for release_id in releases]
    transaction.on_commit(lambda: folders_delete(folders))


def folders_delete(folders: list[Path]) -> None:
    """Deletes folders with everything in them; one that cannot be deleted is named in the log."""
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue
        except OSError:
            logger.warning("The folder %s of a deleted organisation is left", folder, exc_info=True)
