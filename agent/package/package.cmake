# What of dtest-agent travels to each host: one static file of about 6 MB without debug information, where the dynamic
# one would take 17 MB of libraries along. The debug information stays here.
#
# Static needs the archives of all libraries. A libzmq.a may refer to more than are found here: then, and with sanitizers,
# the agent is linked as everything else is, and its libraries travel (coordinator/bundle/agent_package.h).

option(DTEST_STATIC_AGENT "Link dtest-agent statically, where the archives of all its libraries are there" ON)

# What libzmq's archive on Debian and its like needs beside what we use ourselves.
set(agent_archives)
foreach(name sodium pgm norm protokit bsd md)
  find_library(DTEST_${name}_ARCHIVE lib${name}.a)
  mark_as_advanced(DTEST_${name}_ARCHIVE)
  if(DTEST_${name}_ARCHIVE)
    list(APPEND agent_archives ${DTEST_${name}_ARCHIVE})
  endif()
endforeach()

set(static_link ${CMAKE_CURRENT_SOURCE_DIR}/package/static_link.sh)
set(DTEST_AGENT_IS_STATIC OFF)
if(DTEST_STATIC_AGENT AND NOT DTEST_SANITIZE)
  set(try_directory ${CMAKE_CURRENT_BINARY_DIR}/try_static)
  set(locations)
  foreach(library zmq capnp kj crypto zstd absl_strings)
    find_library(DTEST_${library}_ARCHIVE lib${library}.a)
    mark_as_advanced(DTEST_${library}_ARCHIVE)
    if(NOT DTEST_${library}_ARCHIVE)
      list(APPEND missing_archives lib${library}.a)
    endif()
    list(APPEND locations ${DTEST_${library}_ARCHIVE})
  endforeach()
  if(missing_archives)
    message(STATUS "dtest-agent is linked dynamically: no ${missing_archives}")
  else()
    try_compile(DTEST_AGENT_LINKS_STATICALLY ${try_directory}
      SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/package/try_static.cc ${CMAKE_CURRENT_SOURCE_DIR}/package/gssapi_stubs.c
      LINK_OPTIONS -static
      LINK_LIBRARIES -Wl,--start-group ${locations} ${agent_archives} -Wl,--end-group)
    set(DTEST_AGENT_IS_STATIC ${DTEST_AGENT_LINKS_STATICALLY})
    if(NOT DTEST_AGENT_IS_STATIC)
      message(STATUS "dtest-agent is linked dynamically: libzmq.a needs archives that are not here")
    endif()
  endif()
endif()

if(DTEST_AGENT_IS_STATIC)
  target_sources(dtest-agent PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/package/gssapi_stubs.c)
  target_link_libraries(dtest-agent PRIVATE ${agent_archives})
  target_link_options(dtest-agent PRIVATE -Wl,--gc-sections)
  set_target_properties(dtest-agent PROPERTIES RULE_LAUNCH_LINK ${static_link} LINK_DEPENDS ${static_link})
endif()

if(NOT DTEST_SANITIZE)  # whose reports read the debug information themselves
  target_link_options(dtest-agent PRIVATE -Wl,--build-id)
  add_custom_command(TARGET dtest-agent POST_BUILD VERBATIM
    COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:dtest-agent> -DOBJCOPY=${CMAKE_OBJCOPY} -DREADELF=${CMAKE_READELF}
      -P ${CMAKE_CURRENT_SOURCE_DIR}/package/split_debug.cmake)
endif()
