#!/bin/sh
# Starts {interpreter} as AWS starts its managed runtime {name}. Made by Fuseline.
export AWS_EXECUTION_ENV=AWS_Lambda_{name}
export LAMBDA_RUNTIME_DIR={folder}
# Layers, which a sandbox that cannot have an /opt of its own keeps elsewhere.
opt=${FUSELINE_OPT:-/opt}
root=$LAMBDA_TASK_ROOT
export PATH={programs}:"${PATH:-/usr/local/bin:/usr/bin:/bin:$opt/bin}"
libraries=${LD_LIBRARY_PATH:-/lib64:/usr/lib64:$root:$root/lib:$opt/lib}
export LD_LIBRARY_PATH="$LAMBDA_RUNTIME_DIR:$LAMBDA_RUNTIME_DIR/lib:$libraries"
{variables}
set -- {command}
wrapper=$AWS_LAMBDA_EXEC_WRAPPER
[ -n "$wrapper" ] || exec "$@"
if [ ! -f "$wrapper" ]; then
  echo "$wrapper: does not exist"
  exit 127
fi
if [ ! -x "$wrapper" ]; then
  echo "$wrapper: is not an executable"
  exit 126
fi
exec "$wrapper" "$@"
