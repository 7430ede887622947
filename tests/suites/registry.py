"""What the suites need of the registry of Python packages. It is kept in DTEST_SUITES, and made anew where something else
is asked for by the same name."""

import os
import shutil
import subprocess
import sys

INSTALLED = os.environ.get("DTEST_SUITES", "")
if not INSTALLED:
    sys.exit("DTEST_SUITES is to name a directory for what is installed; ./dev suites does")


def python(interpreter=sys.executable):
    """One that has nothing but pip: its own, since that of another version may be too old for it, or too new."""
    directory = os.path.join(INSTALLED, "python" + ("" if interpreter == sys.executable else interpreter.replace("/", "-")))
    path = os.path.join(directory, "bin", "python")
    if not os.path.exists(path):
        subprocess.run([interpreter, "-m", "venv", directory], check=True)
    return path


def pip(*arguments, interpreter=sys.executable):
    subprocess.run([python(interpreter), "-m", "pip", *arguments], check=True)


def kept(directory, recipe, make):
    """The directory that make(directory) makes, once for each `recipe`."""
    marker = os.path.join(directory, ".recipe")
    if os.path.exists(marker):
        with open(marker, encoding="utf-8") as file:
            if file.read() == recipe:
                return directory
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    make(directory)
    with open(marker, "w", encoding="utf-8") as file:
        file.write(recipe)
    return directory


def packages(name, requirements):
    """A directory for PYTHONPATH."""
    return kept(os.path.join(INSTALLED, "plugins", name), requirements,
                lambda directory: pip("install", "-q", "--target", directory, *requirements.split()))


def environment(name, requirements, interpreter=sys.executable):
    """A virtual environment of that Python, the system's by default."""

    def make(directory):
        subprocess.run([interpreter, "-m", "venv", "--without-pip", directory], check=True)
        pip("--python", os.path.join(directory, "bin", "python"), "install", "-q", *requirements.split(), interpreter=interpreter)

    return kept(os.path.join(INSTALLED, "environments", name), requirements, make)


def source(name, version):
    """The unpacked source archive."""

    def make(directory):
        pip("download", "-q", "--no-deps", "--no-binary", name, "--dest", directory, f"{name}=={version}")
        archive, = os.listdir(directory)
        shutil.unpack_archive(os.path.join(directory, archive), directory)
        os.unlink(os.path.join(directory, archive))

    directory = kept(os.path.join(INSTALLED, "sources", name), version, make)
    unpacked, = (entry.path for entry in os.scandir(directory) if entry.is_dir())
    return unpacked
