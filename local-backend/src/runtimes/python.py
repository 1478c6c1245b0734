# Starts a function's handler as AWS's managed Python runtime does. Part of Fuseline's runtimes.
#
# Modules are looked for in the function's code, in its layers, and then here, beside this file,
# where the runtime's own packages are. As on AWS a PYTHONPATH of the function's replaces the layers.
import os
import site
import sys

# A function's code cannot be written on AWS; here it would be its next cold start that gained.
sys.dont_write_bytecode = True

root = os.environ["LAMBDA_TASK_ROOT"]
layers = []
if "PYTHONPATH" not in os.environ:
    opt = os.environ.get("FUSELINE_OPT", "/opt")
    version = "python{}.{}".format(*sys.version_info)
    layers = [f"{opt}/python/lib/{version}/site-packages", f"{opt}/python"]
    os.environ["PYTHONPATH"] = os.environ["LAMBDA_RUNTIME_DIR"]
sys.path[:0] = [root, *layers]
for folder in [root, *layers]:
    # For the `.pth` files in it; a folder that is there already is not added twice.
    site.addsitedir(folder)

from awslambdaric.__main__ import main

main([root, os.environ["_HANDLER"]])
