"""The paths of the bank."""

from __future__ import annotations

from django.urls import path

from bank import views

urlpatterns = [
    path("", views.hello),
    path("async", views.hello_async),
    path("about", views.about),
    path("accounts", views.accounts),
    path("total", views.total),
    path("statement/<owner>", views.statement),
    path("transfer", views.transfer_money),
    path("transfer-twice", views.transfer_twice),
    path("quotes", views.quotes),
]
