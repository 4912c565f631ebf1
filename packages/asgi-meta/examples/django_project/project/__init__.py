"""A bank in Django, sync and async: an example of these packages in the place of asgiref.

Nothing in it names them. In this folder:

    python manage.py migrate
    python -m asgi_meta run -m uvicorn project.asgi:application
    python -m asgi_meta run manage.py add_interest 2
"""
