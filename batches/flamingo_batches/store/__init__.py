"""The database: its tables, its connections, and every query.

A query is a function of a connection, which `database.Database.run` calls on a thread, inside of a
transaction that is repeated after the connection was lost. So each can be executed twice without
another effect than once.
"""
