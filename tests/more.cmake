# SPDX-License-Identifier: GPL-3.0-or-later
# Tests beyond the unit programs: gates, reader, golden, crash, mount, fuzzing. Exit code 77 means
# "cannot run here"; the message says why.
# Debian's own Python: the reader's modules are Debian packages.
if(EXISTS /usr/bin/python3 AND NOT DEFINED Python3_EXECUTABLE)
    set(Python3_EXECUTABLE /usr/bin/python3)
endif()
find_package(Python3 COMPONENTS Interpreter)
if(NOT Python3_FOUND)
    message(STATUS "python3 is not here: the tests that are scripts are not registered")
    return()
endif()
set(here ${CMAKE_CURRENT_LIST_DIR})

set(script_environment
    EMLFS_BUILD=${PROJECT_BINARY_DIR}
    EMLFS_SOURCE=${PROJECT_SOURCE_DIR}
    PYTHONDONTWRITEBYTECODE=1)
if(EMLFS_SANITIZE)
    list(APPEND script_environment EMLFS_SLOW=1)
endif()
if(TARGET emlfs)
    list(APPEND script_environment EMLFS=$<TARGET_FILE:emlfs>)
endif()

# emlfs_script(NAME LABEL TIMEOUT_SEC SCRIPT [ARGUMENT...]): a test that is a Python script.
function(emlfs_script name label timeout_sec)
    add_test(NAME ${name} COMMAND Python3::Interpreter ${ARGN})
    set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout_sec}
        SKIP_RETURN_CODE 77 ENVIRONMENT "${script_environment}")
endfunction()

emlfs_script(gates/selftest gates 60 ${here}/gates/selftest.py)
emlfs_script(gates/house gates 60 ${here}/gates/gates.py ${PROJECT_SOURCE_DIR})

if(TARGET emlfs_policy)
    add_executable(retention_tool ${here}/policy/retention_tool.c)
    target_link_libraries(retention_tool PRIVATE emlfs_policy)
    add_executable(archive_tool ${here}/policy/archive_tool.c)
    target_link_libraries(archive_tool PRIVATE emlfs_policy)
    list(APPEND script_environment EMLFS_RETENTION_TOOL=$<TARGET_FILE:retention_tool>
        EMLFS_ARCHIVE_TOOL=$<TARGET_FILE:archive_tool>)
    emlfs_script(policy/reference policy 900 ${here}/policy/reference.py)
endif()

if(EMLFS_FUZZ)
    foreach(source ${fuzzers})
        get_filename_component(name ${source} NAME_WE)
        if(TARGET ${name})
            add_test(NAME fuzz-run/${name}
                     COMMAND ${here}/run-fuzz $<TARGET_FILE:${name}> ${here}/fuzz/corpus/${name})
            set_tests_properties(fuzz-run/${name} PROPERTIES LABELS fuzz-run TIMEOUT 7200)
        endif()
    endforeach()
endif()

if(NOT TARGET emlfs)
    return()
endif()

# The programs behind the crash tests. The shim is preloaded into other programs, so it takes none
# of the project's flags: with 64-bit offsets by macro it could not define both forms of a call.
add_executable(crash_tool ${here}/crash/crash_tool.c ${here}/crash/crash_mail.c)
target_link_libraries(crash_tool PRIVATE emlfs_policy)
add_executable(flip ${here}/crash/flip.c)
target_link_libraries(flip PRIVATE emlfs_archive)
add_library(nth_shim SHARED ${here}/crash/nth_shim.c)
target_compile_definitions(nth_shim PRIVATE _GNU_SOURCE)
target_compile_options(nth_shim PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wformat=2)
target_link_libraries(nth_shim PRIVATE ${CMAKE_DL_LIBS})
list(APPEND script_environment
    EMLFS_CRASH_TOOL=$<TARGET_FILE:crash_tool>
    EMLFS_FLIP=$<TARGET_FILE:flip>
    EMLFS_NTH_SHIM=$<TARGET_FILE:nth_shim>)

# A preloaded library and a sanitizer do not go together; what is measured in time goes alone.
if(NOT EMLFS_SANITIZE)
    emlfs_script(crash/nth crash 7200 ${here}/crash/nth.py)
    emlfs_script(crash/plug crash 7200 ${here}/crash/plug.py)
    set_tests_properties(crash/nth crash/plug PROPERTIES PROCESSORS 2 COST 100)
endif()
emlfs_script(crash/recovery crash 600 ${here}/crash/recovery.py)
emlfs_script(crash/flip crash 7200 ${here}/crash/flip.py)
set_tests_properties(crash/flip PROPERTIES PROCESSORS 2 COST 100) # long ones are begun first

emlfs_script(reader/selftest reader 120 ${here}/reader/selftest.py)
emlfs_script(golden/sample golden 120 ${here}/golden/golden.py)
emlfs_script(golden/mail golden 900 ${here}/golden/byte_exact.py mail)
emlfs_script(golden/bench golden 900 ${here}/golden/byte_exact.py bench)

# tests/mount/test_*.py: black box on /dev/fuse.
file(GLOB scripts CONFIGURE_DEPENDS ${here}/mount/test_*.py)
foreach(script ${scripts})
    get_filename_component(name ${script} NAME_WE)
    emlfs_script(mount/${name} mount 900 ${script})
endforeach()

# tests/search/test_*.py: searching from the command line.
file(GLOB scripts CONFIGURE_DEPENDS ${here}/search/test_*.py)
foreach(script ${scripts})
    get_filename_component(name ${script} NAME_WE)
    emlfs_script(search/${name} search 900 ${script})
endforeach()

# tests/command/test_*.py: governing an archive from the command line.
file(GLOB scripts CONFIGURE_DEPENDS ${here}/command/test_*.py)
foreach(script ${scripts})
    get_filename_component(name ${script} NAME_WE)
    emlfs_script(command/${name} command 900 ${script})
endforeach()

if(TARGET emlfs_index)
    include(${here}/search/search.cmake)
endif()
