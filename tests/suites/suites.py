"""Which suites real.py runs, and in what they are known to differ under dtest."""

import dataclasses
import fnmatch


@dataclasses.dataclass(frozen=True)
class Difference:
    """Cases that end in another way under dtest than under pytest in one process, and why."""
    cases: str  # node id, or a pattern of fnmatch
    reason: str
    only: str = ""  # where: a part of what the run is called

    def of(self, run):
        return self.only in run

    def explains(self, run, case):
        return self.of(run) and (case == self.cases or fnmatch.fnmatchcase(case, self.cases))


@dataclasses.dataclass(frozen=True)
class Suite:
    version: str
    requirements: str = ""  # besides itself and pytest-xdist
    paths: str = "tests"
    arguments: tuple = ()  # of pytest
    directory: str = "."  # of the source archive: the project
    files: dict = dataclasses.field(default_factory=dict)  # written into the project
    variables: dict = dataclasses.field(default_factory=dict)  # of the environment
    installed: tuple = ()  # (directory of the project, directory of site-packages that is copied there), in place of an archive
    farm: bool = False
    differs: tuple = ()

    def explanation(self, run, case):
        return next((known for known in self.differs if known.explains(run, case)), None)


DJANGO_APPS = ("admin_autodiscover admin_changelist admin_checks admin_custom_urls admin_default_site admin_docs admin_filters "
               "admin_inlines admin_ordering admin_registration admin_scripts admin_utils admin_views admin_widgets")

# What Django's own runner sets for these tests (tests/runtests.py), for pytest-django.
DJANGO_SETTINGS = f"""\
import os
from test_sqlite import *

HERE = os.path.dirname(os.path.abspath(__file__))
INSTALLED_APPS = [
    "django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sites", "django.contrib.sessions",
    "django.contrib.messages", "django.contrib.admin.apps.SimpleAdminConfig", "django.contrib.staticfiles",
    *{DJANGO_APPS.split()},
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
MIGRATION_MODULES = {{"auth": None, "contenttypes": None, "sessions": None}}
ROOT_URLCONF = "urls"
SITE_ID = 1
STATIC_URL = "static/"
STATIC_ROOT = os.path.join(HERE, "static")
LANGUAGE_CODE = "en"
SILENCED_SYSTEM_CHECKS = ["fields.W342"]
TEMPLATES = [{{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [os.path.join(HERE, "templates")],
    "APP_DIRS": True,
    "OPTIONS": {{"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]}},
}}]
"""

SUITES = {
    "attrs": Suite("26.1.0", "pytest==9.2.0 cloudpickle hypothesis pympler", farm=True),
    "django": Suite("5.2.19", "pytest==8.4.2 pytest-django docutils Pillow jinja2 PyYAML tblib", paths=DJANGO_APPS, directory="tests",
                    farm=True, files={"settings_for_pytest.py": DJANGO_SETTINGS,
                           "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = settings_for_pytest\npythonpath = .\n"
                                         "python_files = test*.py\n"},
                    variables={"RUNNING_DJANGOS_TEST_SUITE": "true"}, differs=(Difference(
                        "admin_scripts/tests.py::StartProject::test_custom_project_template_context_variables",
                        "black, where there is one in PATH, breaks its line where TMPDIR has 30 to 45 characters, by pytest alone, too"),
                        Difference("admin_scripts/tests.py::StartProject::test_custom_project_template_hidden_directory_included",
                                   "hidden directories are not shipped where git does not know the project", only="hosts"))),
    "flask": Suite("3.1.3", "pytest==8.4.2 asgiref greenlet python-dotenv", farm=True),
    "numpy": Suite("2.4.6", "pytest==9.0.2 hypothesis", paths="polynomial", installed=(("polynomial", "numpy/polynomial/tests"),), farm=True),
    "packaging": Suite("26.4", "pytest==9.2.0 hypothesis pip pretend tomli_w", farm=True),
    "pytest": Suite("9.2.0", "argcomplete attrs hypothesis mock numpy pexpect pyyaml requests setuptools xmlschema", paths="testing"),
    "requests": Suite("2.34.2", "pytest==9.1.1 pytest-cov pytest-httpbin==2.1.0 httpbin~=0.10.0 pytest-mock trustme PySocks", farm=True),
    "sqlalchemy": Suite("2.1.9", "pytest==8.4.2 greenlet aiosqlite", paths="test/base test/engine test/dialect/sqlite", farm=True,
                        differs=(Difference("test/base/test_concurrency.py::GreenletImportTests::*",
                                            "waits 10 s for a process that imports SQLAlchemy, on a slow machine in vain"),)),
    "werkzeug": Suite("3.1.9", "pytest==8.4.2 cffi cryptography ephemeral-port-reserve pytest-timeout watchdog", farm=True,
                      # With this watchdog it waits for ever, whatever runs it.
                      arguments=("--deselect", "tests/test_serving.py::test_reloader_sys_path[watchdog]")),
}
