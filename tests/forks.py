"""What scripts that fork begin with: tests run them in a process of their own."""

EXIT_CODE_OF_CHILD = """
import os

def exit_code_of_child(function):
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = function()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""
