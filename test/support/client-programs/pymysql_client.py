"""Runs statements with PyMySQL. Standard input: { options, statements }. Standard output: one JSON line per result."""

import json
import ssl
import sys

import pymysql

request = json.load(sys.stdin)
options = request["options"]
tls = options.pop("tls", None)
if tls is None:
    options["ssl_disabled"] = True
elif tls["mode"] != "default":
    context = ssl.create_default_context(cafile=tls.get("caFile"))
    context.check_hostname = tls["mode"] == "verify-full"
    if tls["mode"] == "required":
        context.verify_mode = ssl.CERT_NONE
    if "certFile" in tls:
        context.load_cert_chain(tls["certFile"], tls["keyFile"])
    options["ssl"] = context


def printable(value):
    return {"hex": value.hex()} if isinstance(value, bytes) else str(value)


try:
    connection = pymysql.connect(charset="utf8mb4", **options)
    with connection.cursor() as cursor:
        for sql in request["statements"]:
            cursor.execute(sql)
            while True:
                print(json.dumps([cursor.rowcount, cursor.fetchall()], default=printable))
                if not cursor.nextset():
                    break
    connection.commit()
    connection.close()
except pymysql.err.MySQLError as error:
    arguments = error.args + ("", "")
    sys.exit(f"ERROR {arguments[0]}: {arguments[1]}")
