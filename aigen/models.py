"""Generations, their attempts with evidence, and the provider endpoints that models are reached through."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from django.db import models

from accounts.models import TenantModel, User
from accounts.tenancy import tenant_manager
from platform_site.lib.identifiers import uuid7
from platform_site.lib.secrets import EncryptedTextField
from runs.models import Run


class ProviderEndpoint(models.Model):
    """Where models of one provider are reached. It belongs to the platform; administrators manage it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.SlugField(max_length=40, unique=True, help_text="The first part of a model's name: name/model.")
    kind = models.CharField(max_length=40, help_text="The adapter that speaks to it.")
    base_url = models.URLField(max_length=500, blank=True, help_text="Empty for the provider's own address.")
    api_key = EncryptedTextField(blank=True, default="")
    models_offered = models.JSONField(default=list, blank=True, help_text="Model ids people may choose.")
    default_model = models.CharField(max_length=200, blank=True)
    price_input = models.DecimalField(
        max_digits=12, decimal_places=6, null=True, blank=True, help_text="US dollars for a million input tokens."
    )
    price_output = models.DecimalField(
        max_digits=12, decimal_places=6, null=True, blank=True, help_text="US dollars for a million output tokens."
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class GenerationStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    READY = "ready", "Ready"
    UNVERIFIED = "unverified", "Unverified"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    INTERRUPTED = "interrupted", "Interrupted"


class Verdict(models.TextChoices):
    """What the checks said of one answer, from worst to best."""

    INTERRUPTED = "interrupted", "Interrupted"
    PROVIDER_ERROR = "provider_error", "The model failed"
    INCOMPLETE = "incomplete", "Incomplete answer"
    INVALID_FILES = "invalid_files", "Unusable files"
    SYNTAX_ERROR = "syntax_error", "Syntax errors"
    TESTS_FAILED = "tests_failed", "Tests failed"
    TESTS_NOT_RUN = "tests_not_run", "Tests could not run"
    CHECKED = "checked", "Checked, no tests asked for"
    PASSED = "passed", "Checked and tested"


class GenerationQuerySet(models.QuerySet["Generation"]):
    def newest_first(self) -> GenerationQuerySet:
        return self.order_by("-id")


class Generation(TenantModel):
    """One request for an application, and what became of it."""

    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    run = models.OneToOneField(Run, null=True, on_delete=models.SET_NULL, related_name="generation")
    title = models.CharField(max_length=200)
    prompt = models.TextField()
    language = models.CharField(max_length=30)
    model = models.CharField(max_length=200)
    include_tests = models.BooleanField(default=True)
    include_docs = models.BooleanField(default=True)
    status = models.CharField(max_length=20, choices=GenerationStatus, default=GenerationStatus.QUEUED)
    reason = models.CharField(max_length=500, blank=True)
    best_attempt = models.ForeignKey("Attempt", null=True, on_delete=models.SET_NULL, related_name="+")

    objects: ClassVar[Any] = tenant_manager(GenerationQuerySet)

    class Meta:
        indexes = [models.Index(fields=["organisation", "-id"], name="generation_of_organisation")]

    def __str__(self) -> str:
        return self.title

    @property
    def is_deployable(self) -> bool:
        return self.status == GenerationStatus.READY


class Attempt(TenantModel):
    """One answer of the model with the evidence for its verdict."""

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    purpose = models.CharField(max_length=20, default="write")  # or "repair"
    answer = models.TextField(blank=True)
    finish_reason = models.CharField(max_length=20, blank=True)
    verdict = models.CharField(max_length=20, choices=Verdict, blank=True)
    summary = models.CharField(max_length=500, blank=True)
    findings = models.JSONField(default=list, blank=True)
    test_command = models.CharField(max_length=300, blank=True)
    test_exit_code = models.IntegerField(null=True, blank=True)
    test_output = models.TextField(blank=True)
    failure_fingerprint = models.CharField(max_length=64, blank=True)
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    tokens_estimated = models.BooleanField(default=False)
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True, blank=True)
    model_seconds = models.FloatField(default=0)
    check_seconds = models.FloatField(default=0)
    test_seconds = models.FloatField(default=0)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["generation", "number"], name="attempt_number_once")]

    def __str__(self) -> str:
        return f"Attempt {self.number}"

    @property
    def rank(self) -> int:
        """How good the verdict is: the best attempt is kept."""
        return Verdict.values.index(self.verdict) if self.verdict else -1

    @property
    def seconds(self) -> float:
        return self.model_seconds + self.check_seconds + self.test_seconds

    @property
    def cost_or_zero(self) -> Decimal:
        return self.cost or Decimal(0)


class GeneratedFile(TenantModel):
    """A file of an attempt. `role` says whether it is code, a test or documentation."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=240)
    content = models.TextField()
    language = models.CharField(max_length=30, blank=True)
    role = models.CharField(max_length=10, default="code")
    size = models.PositiveIntegerField()

    class Meta:
        ordering = ["path"]
        constraints = [models.UniqueConstraint(fields=["attempt", "path"], name="generated_file_once")]

    def __str__(self) -> str:
        return self.path


JSON = dict[str, Any]
