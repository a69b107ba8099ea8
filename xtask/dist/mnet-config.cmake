# find_package(mnet): the library as the target mnet::mnet, BSD sockets as mnet::posix, and
# mnet_unikernel().
#
# Everything is found relative to this file, so the installation can be moved.

get_filename_component(MNET_PREFIX "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(MNET_LIBRARY_DIR "${MNET_PREFIX}/lib/x86_64-solo5-none-static")
set(MNET_INCLUDE_DIR "${MNET_PREFIX}/include/solo5")

if(NOT TARGET mnet::mnet)
  add_library(mnet::mnet STATIC IMPORTED)
  set_target_properties(mnet::mnet PROPERTIES
    IMPORTED_LOCATION "${MNET_LIBRARY_DIR}/libmnet.a"
    IMPORTED_LINK_INTERFACE_LANGUAGES C
    INTERFACE_LINK_LIBRARIES "${MNET_LIBRARY_DIR}/libsolo5_mem.a"
    INTERFACE_INCLUDE_DIRECTORIES "${MNET_INCLUDE_DIR}"
    # Not as system headers: an upstream wrapper's own solo5.h would not come first any more.
    IMPORTED_NO_SYSTEM TRUE)
endif()

# BSD sockets, for programs that have no C library: docs/posix.md.
if(NOT TARGET mnet::posix)
  add_library(mnet::posix STATIC IMPORTED)
  set_target_properties(mnet::posix PROPERTIES
    IMPORTED_LOCATION "${MNET_LIBRARY_DIR}/libmnet-posix.a"
    IMPORTED_LINK_INTERFACE_LANGUAGES C
    INTERFACE_INCLUDE_DIRECTORIES "${MNET_PREFIX}/include/mnet-posix"
    INTERFACE_LINK_LIBRARIES mnet::mnet
    IMPORTED_NO_SYSTEM TRUE)
endif()

find_program(SOLO5_ELFTOOL solo5-elftool
  HINTS "${MNET_PREFIX}/bin"
  DOC "Makes manifests of unikernels"
  NO_CMAKE_FIND_ROOT_PATH)

# mnet_unikernel(TARGET [ABI spt|hvt|...] [MANIFEST FILE])
#
# Makes the executable TARGET an image for a tender: links it with the bindings of ABI (spt if
# nothing is said), adds the devices that FILE lists (manifest.json, relative to the sources), and
# names it after its ABI. For images of several ABIs, make an executable for each.
function(mnet_unikernel target)
  cmake_parse_arguments(PARSE_ARGV 1 MNET "" "ABI;MANIFEST" "")
  if(DEFINED MNET_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "mnet_unikernel: what is ${MNET_UNPARSED_ARGUMENTS}?")
  endif()
  if(NOT DEFINED MNET_ABI)
    set(MNET_ABI spt)
  endif()
  if(NOT DEFINED MNET_MANIFEST)
    set(MNET_MANIFEST manifest.json)
  endif()
  if(NOT SOLO5_ELFTOOL)
    message(FATAL_ERROR "mnet_unikernel: solo5-elftool was not found")
  endif()
  get_filename_component(manifest "${MNET_MANIFEST}" ABSOLUTE)
  set(source "${CMAKE_CURRENT_BINARY_DIR}/${target}-manifest.c")
  add_custom_command(
    OUTPUT "${source}"
    COMMAND "${SOLO5_ELFTOOL}" gen-manifest "${manifest}" "${source}"
    DEPENDS "${manifest}"
    VERBATIM)
  target_sources("${target}" PRIVATE "${source}")
  target_link_options("${target}" PRIVATE "SHELL:-z solo5-abi=${MNET_ABI}")
  set_target_properties("${target}" PROPERTIES SUFFIX ".${MNET_ABI}")
endfunction()
