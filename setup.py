"""What pyproject.toml cannot say: spaces/ is shipped as the data package invsearch.spaces."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["ops", "ops.*", "invsearch", "invsearch.*"]),
        "invsearch.spaces",
    ],
    package_dir={"invsearch.spaces": "spaces"},
)
