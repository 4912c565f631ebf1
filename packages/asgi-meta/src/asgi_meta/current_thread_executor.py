"""The executor of a blocked thread, from asgi-sync."""

from asgi_sync.current_thread_executor import CurrentThreadExecutor

__all__ = ["CurrentThreadExecutor"]
