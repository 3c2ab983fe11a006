#!/bin/sh
# systemctl, shutdown and poweroff of a machine that is a container: they know how to switch it off, and nothing else.
case "${0##*/} $1" in
  "systemctl poweroff" | shutdown\ * | poweroff\ *) kill -TERM 1 ;;
  *)
    echo "${0##*/} $*: this machine can only be switched off" >&2
    exit 1
    ;;
esac
