# cmake -DCMAKE_TOOLCHAIN_FILE=.../share/mnet/toolchain.cmake: builds for Solo5, in C.
#
# Everything is found relative to this file. Another wrapper, as upstream's, can be named by
# -DCMAKE_C_COMPILER=.

get_filename_component(_mnet_prefix "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)

set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
if(NOT CMAKE_C_COMPILER)
  set(CMAKE_C_COMPILER "${_mnet_prefix}/bin/x86_64-solo5-none-static-cc")
endif()

# Programs are those of the build machine, all else is that of the installation.
list(APPEND CMAKE_FIND_ROOT_PATH "${_mnet_prefix}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
set(mnet_DIR "${_mnet_prefix}/lib/cmake/mnet")
unset(_mnet_prefix)
