"""Settings of the project: SQLite, and middleware of each kind."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).parent.parent

# It has no secrets, and serves this machine only.
SECRET_KEY = "of an example"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
DEBUG = False

INSTALLED_APPS = ["bank"]
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "bank.middleware.timed",
    "bank.middleware.NumberedMiddleware",
    "bank.middleware.counted",
]
ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
WSGI_APPLICATION = "project.wsgi.application"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("BANK_DATABASE", PROJECT / "db.sqlite3"),
        "OPTIONS": {
            # Who is going to write says so at once, and waits for the others.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
