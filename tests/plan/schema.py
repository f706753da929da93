# SPDX-License-Identifier: GPL-2.0-only
"""Does a file keep to a JSON Schema? usage: schema.py SCHEMA FILE"""

import json
import sys

import jsonschema

with open(sys.argv[1], encoding="utf-8") as schema, open(sys.argv[2], encoding="utf-8") as file:
    jsonschema.Draft202012Validator(json.load(schema)).validate(json.load(file))
