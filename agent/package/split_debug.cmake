# Moves the debug information of PROGRAM into PROGRAM.debug, which gdb finds by its build id: below the directory .build-id
# beside it (`set debug-file-directory DIRECTORY`), where debuginfod and coredumpctl look too.

function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE output)
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(${OBJCOPY} --only-keep-debug ${PROGRAM} ${PROGRAM}.debug)
run(${OBJCOPY} --strip-all --add-gnu-debuglink=${PROGRAM}.debug ${PROGRAM})
run(${READELF} --notes ${PROGRAM})
if(output MATCHES "Build ID: ([0-9a-f][0-9a-f])([0-9a-f]+)")
  cmake_path(GET PROGRAM PARENT_PATH directory)
  cmake_path(GET PROGRAM FILENAME name)
  file(MAKE_DIRECTORY ${directory}/.build-id/${CMAKE_MATCH_1})
  file(CREATE_LINK ../../${name}.debug ${directory}/.build-id/${CMAKE_MATCH_1}/${CMAKE_MATCH_2}.debug SYMBOLIC)
endif()
