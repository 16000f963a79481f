"""Runs parameterised statements with a PostgreSQL driver. Standard input: { driver, options, steps }. A JSON line per step."""

import asyncio
import importlib
import io
import json
import sys

request = json.load(sys.stdin)
driver = importlib.import_module(request["driver"])


def printable(value):
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    return None if value is None else str(value)


def textual(rows):
    return [[printable(value) for value in row] for row in rows]


def tell_error(error, code):
    # libpq ends its texts with the end of a line.
    print(json.dumps({"error": type(error).__name__, "code": code, "message": str(error).strip()}))


def tell_rows(rows):
    print(json.dumps({"rows": rows}))


def run_with_libpq(connection, step):
    sql, values = step["sql"], step["values"] or None
    with connection.cursor("kept") if step.get("cursor") else connection.cursor() as cursor:
        if "copy" in step:
            if driver.__name__ == "psycopg2":
                cursor.copy_expert(sql, io.StringIO(step["copy"]))
            else:
                with cursor.copy(sql) as copy:
                    copy.write(step["copy"])
            return []
        if step.get("batch"):
            cursor.executemany(sql, [values] * step["batch"])
            return []
        cursor.execute(sql, values)
        return textual(cursor.fetchall()) if cursor.description else []


def with_libpq():
    connection = driver.connect(request["url"])
    for step in request["steps"]:
        try:
            # What a cursor keeps lives in a transaction.
            connection.autocommit = not step.get("cursor")
            tell_rows(run_with_libpq(connection, step))
            if step.get("cursor"):
                connection.commit()
        except driver.Error as error:
            tell_error(error, getattr(error, "pgcode", None) or getattr(error, "sqlstate", None))
    connection.close()


async def run_with_asyncpg(connection, step):
    sql, values = step["sql"], step["values"]
    if "copy" in step:
        records = [line.split("\t") for line in step["copy"].splitlines()]
        await connection.copy_records_to_table(step["table"], records=records, columns=step["columns"])
        return []
    if step.get("batch"):
        await connection.executemany(sql, [values] * step["batch"])
        return []
    if step.get("cursor"):
        async with connection.transaction():
            return textual([row async for row in connection.cursor(sql, *values, prefetch=2)])
    return textual(await connection.fetch(sql, *values))


async def with_asyncpg():
    connection = await driver.connect(request["url"])
    for step in request["steps"]:
        try:
            tell_rows(await run_with_asyncpg(connection, step))
        except driver.PostgresError as error:
            tell_error(error, error.sqlstate)
    await connection.close()


if driver.__name__ == "asyncpg":
    asyncio.run(with_asyncpg())
else:
    with_libpq()
