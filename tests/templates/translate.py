"""Run by the Python of .venv-templates: the template on standard input through the SAM translator."""

from __future__ import annotations

import json
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

if __name__ == "__main__":
    template = json.load(sys.stdin)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = {"Bucket": sys.argv[1], "Key": sys.argv[2]}
    translator = Translator({}, Parser())
    json.dump(
        translator.translate(template, dict(argument.split("=", 1) for argument in sys.argv[3:])), sys.stdout
    )
