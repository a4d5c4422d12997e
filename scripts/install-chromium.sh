#!/usr/bin/env bash
# Debian's chromium, for tests that look at the Dagster UI as a person would. Needs root.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium
