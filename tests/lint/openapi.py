#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is the file OpenAPI 3.1 as the specification has it? By the shapes below, and by the validator
openapi-spec-validator where that is installed, too. Every schema in it must be one of JSON Schema
2020-12, and every example what its schema says. Exit code 77: nothing here can tell."""
import json
import os
import sys

SYSTEM_PYTHON = "/usr/bin/python3"  # has Debian's python3-jsonschema, when another one is first


def modules():
    found = {}
    for name in ("jsonschema", "openapi_spec_validator"):
        try:
            found[name] = __import__(name)
        except ImportError:
            pass
    return found


def text(pattern=None):
    return {"type": "string", "minLength": 1, **({"pattern": pattern} if pattern else {})}


def closed(required, /, **properties):
    return {"type": "object", "required": required, "properties": properties,
            "patternProperties": {"^x-": True}, "additionalProperties": False}


def each(what):
    return {"type": "object", "additionalProperties": what}


def one(name):
    return {"$ref": "#/$defs/" + name}


def or_ref(name):
    """The object, or a reference to one; which of the two the member $ref tells."""
    return {"if": {"required": ["$ref"]}, "then": one("reference"), "else": one(name)}


CODES = {"type": "object", "minProperties": 1, "additionalProperties": False, "patternProperties": {
    "^([1-5][0-9][0-9]|[1-5]XX|default)$": or_ref("response"), "^x-": True}}
METHODS = {m: one("operation")
           for m in ("get", "put", "post", "delete", "options", "head", "patch", "trace")}
EXAMPLE = {"example": True, "examples": each(or_ref("example"))}

# Chapter 4 of the specification, as far as the document goes; what is not here is refused.
SHAPES = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **closed(["openapi", "info", "paths"], openapi=text(r"^3\.1\.[0-9]+$"), info=one("info"),
             jsonSchemaDialect=text(), servers={"type": "array", "items": one("server")},
             paths={"type": "object", "additionalProperties": False,
                    "patternProperties": {"^/": one("path"), "^x-": True}},
             components=one("components"), security={"type": "array", "items": one("security")},
             tags={"type": "array", "items": one("tag")}, externalDocs=one("docs")),
    "$defs": {
        "info": closed(["title", "version"], title=text(), summary=text(), description=text(),
                       termsOfService=text(), contact={"type": "object"},
                       license={**closed(["name"], name=text(), identifier=text(), url=text()),
                                "not": {"required": ["identifier", "url"]}}, version=text()),
        "server": closed(["url"], url=text(), description=text(), variables={"type": "object"}),
        "docs": closed(["url"], url=text(), description=text()),
        "tag": closed(["name"], name=text(), description=text(), externalDocs=one("docs")),
        "reference": closed(["$ref"], **{"$ref": text(), "summary": text(), "description": text()}),
        "security": each({"type": "array", "items": text()}),
        "path": closed([], summary=text(), description=text(), **METHODS,
                       servers={"type": "array", "items": one("server")},
                       parameters={"type": "array", "items": or_ref("parameter")}),
        "operation": closed(["responses"], tags={"type": "array", "items": text()}, summary=text(),
                            description=text(), externalDocs=one("docs"), operationId=text(),
                            parameters={"type": "array", "uniqueItems": True,
                                        "items": or_ref("parameter")},
                            requestBody=or_ref("body"), responses=CODES,
                            deprecated={"type": "boolean"},
                            security={"type": "array", "items": one("security")},
                            servers={"type": "array", "items": one("server")}),
        "parameter": {
            **closed(["name", "in"], name=text(),
                     **{"in": {"enum": ["query", "header", "path", "cookie"]}}, description=text(),
                     required={"type": "boolean"}, deprecated={"type": "boolean"},
                     allowEmptyValue={"type": "boolean"}, style=text(), explode={"type": "boolean"},
                     allowReserved={"type": "boolean"}, schema=one("schema"), **EXAMPLE),
            "if": {"properties": {"in": {"const": "path"}}},
            "then": {"required": ["required"], "properties": {"required": {"const": True}}},
            "allOf": [{"required": ["schema"]}, {"not": {"required": ["example", "examples"]}}]},
        "header": closed(["schema"], description=text(), required={"type": "boolean"},
                         deprecated={"type": "boolean"}, schema=one("schema"), **EXAMPLE),
        "body": closed(["content"], description=text(), content=one("content"),
                       required={"type": "boolean"}),
        "content": {"type": "object", "additionalProperties": False,
                    "patternProperties": {"^[^/ ]+/[^/ ]+$": one("media")}},
        "media": {**closed([], schema=one("schema"), encoding={"type": "object"}, **EXAMPLE),
                  "not": {"required": ["example", "examples"]}},
        "response": closed(["description"], description=text(), headers=each(or_ref("header")),
                           content=one("content"), links={"type": "object"}),
        "example": closed([], summary=text(), description=text(), value=True,
                          externalValue=text()),
        "schema": {"type": ["object", "boolean"]},  # by JSON Schema itself, below
        "components": closed([], schemas=each(one("schema")), responses=each(or_ref("response")),
                             parameters=each(or_ref("parameter")), examples=each(or_ref("example")),
                             requestBodies=each(or_ref("body")), headers=each(or_ref("header")),
                             securitySchemes=each(or_ref("scheme"))),
        "scheme": {
            "oneOf": [
                closed(["type", "scheme"], type={"const": "http"}, scheme=text(),
                       bearerFormat=text(), description=text()),
                closed(["type"], type={"const": "mutualTLS"}, description=text()),
                closed(["type", "name", "in"], type={"const": "apiKey"}, name=text(),
                       **{"in": {"enum": ["query", "header", "cookie"]}}, description=text())]},
    },
}


def holders(value, path="$"):
    """Every object with a schema in it, with its path."""
    if isinstance(value, dict):
        if isinstance(value.get("schema"), dict):
            yield path, value
        for key, member in value.items():
            if key not in ("schema", "example", "examples", "schemas"):
                yield from holders(member, path + "." + key)
    elif isinstance(value, list):
        for i, member in enumerate(value):
            yield from holders(member, f"{path}[{i}]")


def check(document, jsonschema):
    validator = jsonschema.Draft202012Validator
    validator.check_schema(SHAPES)
    for e in validator(SHAPES).iter_errors(document):
        yield "$" + "".join(f"[{p!r}]" for p in e.absolute_path) + ": " + e.message[:300]
    schemas = document.get("components", {}).get("schemas", {})
    named = [(f"schema {name}", {"schema": s}) for name, s in schemas.items()]
    for path, holder in named + list(holders(document)):
        schema = holder["schema"]
        try:
            validator.check_schema(schema)
        except jsonschema.SchemaError as e:
            yield f"{path}: {e.message}"
            continue
        whole = {**schema, "components": document.get("components", {})}
        examples = [x["value"] for x in holder.get("examples", {}).values() if "value" in x]
        examples += [holder["example"]] if "example" in holder else []
        for example in examples:
            try:
                for e in validator(whole).iter_errors(example):
                    yield f"{path}: an example: {e.message[:300]}"
            except Exception as e:  # a reference that leads nowhere, a schema that is none
                yield f"{path}: an example cannot be judged: {e}"


def main():
    have = modules()
    if "jsonschema" not in have and os.path.realpath(sys.executable) != os.path.realpath(
            SYSTEM_PYTHON) and os.path.exists(SYSTEM_PYTHON) and "NUMAWISE_LINT" not in os.environ:
        os.environ["NUMAWISE_LINT"] = "again"
        os.execv(SYSTEM_PYTHON, [SYSTEM_PYTHON] + sys.argv)
    with open(sys.argv[1], encoding="utf-8") as f:
        document = json.load(f)
    errors = list(check(document, have["jsonschema"])) if "jsonschema" in have else []
    if "openapi_spec_validator" in have:
        try:
            have["openapi_spec_validator"].validate(document)
        except Exception as e:  # of several libraries below it
            errors.append(f"openapi-spec-validator: {e}")
    if not have:
        print("openapi: SKIPPED: neither jsonschema (Debian: python3-jsonschema) nor "
              "openapi-spec-validator is here")
        return 77
    for e in errors:
        print(e)
    print(f"openapi: {len(errors)} errors by {', '.join(have)}")
    return 1 if errors else 0


sys.exit(main())
