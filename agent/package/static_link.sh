#!/bin/sh
# static_link.sh COMPILER ARGUMENT...: links a program statically. CMake names the shared libraries; each gives way to the
# archive beside it.
compiler=$1
shift
for argument; do
  shift
  case $argument in
    /*.so | /*.so.*)
      archive=${argument%%.so*}
      [ -e "$archive.a" ] || archive=${archive%-[0-9]*} # libcapnp-0.9.2.so
      argument=$archive.a
      ;;
  esac
  set -- "$@" "$argument"
done
exec "$compiler" -static -Wl,--start-group "$@" -Wl,--end-group
