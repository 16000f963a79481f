"""Runs parameterised statements with a DB-API driver. Standard input: { driver, options, steps }. A JSON line per step."""

import importlib
import json
import sys

request = json.load(sys.stdin)
driver = importlib.import_module(request["driver"])


def printable(value):
    return {"hex": value.hex()} if isinstance(value, bytes) else str(value)


connection = driver.connect(charset="utf8mb4", **request["options"])
connection.autocommit(True)
for step in request["steps"]:
    cursor = connection.cursor()
    try:
        values = step["values"]
        cursor.execute(step["sql"].replace("?", "%s") if values else step["sql"], values or None)
        print(json.dumps({"rows": [[None if v is None else str(v) for v in row] for row in cursor.fetchall()]}))
        while cursor.nextset():
            pass
    except driver.Error as error:
        number, message = (error.args + ("", ""))[:2]
        print(json.dumps({"error": type(error).__name__, "number": number, "message": str(message)}))
    cursor.close()
connection.close()
