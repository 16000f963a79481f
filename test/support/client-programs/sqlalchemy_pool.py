"""A pool of one connection that loses it, as SQLAlchemy's own tests do: standard input { port, killer, user, password }.

Prints a JSON line per case: whether SQLAlchemy took the connection for lost, and whether the next one is another.
"""

import json
import sys
import threading
import time

import pymysql
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

asked = json.load(sys.stdin)
login = {"host": "127.0.0.1", "user": asked["user"], "password": asked["password"]}
killer = pymysql.connect(port=asked["killer"], autocommit=True, **login)


def others(condition, number):
    with killer.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM information_schema.processlist WHERE id = {int(number)} AND {condition}")
        return cursor.fetchone()[0]


def wait_until(is_so):
    deadline = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("the server does not show what was waited for")
        time.sleep(0.01)


def kill(number):
    with killer.cursor() as cursor:
        cursor.execute(f"KILL {int(number)}")
    wait_until(lambda: others("TRUE", number) == 0)


def kill_when_it_sleeps(number):
    wait_until(lambda: others("info LIKE '%SLEEP(600)%'", number) == 1)
    kill(number)


def lose(case, statement):
    engine = create_engine(
        "mysql+pymysql://", creator=lambda: pymysql.connect(port=asked["port"], **login), pool_size=1, max_overflow=0
    )
    with engine.connect() as connection:
        number = connection.execute(text("SELECT CONNECTION_ID()")).scalar()
        at_work = threading.Thread(target=kill_when_it_sleeps, args=(number,))
        if case == "running":
            at_work.start()
        else:
            kill(number)
        is_lost = None
        try:
            connection.execute(text(statement))
        except DBAPIError as error:
            is_lost = error.connection_invalidated
    with engine.connect() as connection:
        again = connection.execute(text("SELECT CONNECTION_ID()")).scalar()
    if case == "running":
        at_work.join()
    print(json.dumps({"case": case, "isLost": is_lost, "isReplaced": again != number}))


lose("idle", "SELECT 1")
lose("running", "SELECT SLEEP(600)")
