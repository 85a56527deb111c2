# SPDX-License-Identifier: GPL-3.0-or-later
# The search engine against a plain matcher: tests/search/differential.py and its two programs.
add_executable(dumptext ${CMAKE_CURRENT_LIST_DIR}/dumptext.c)
add_executable(runqueries ${CMAKE_CURRENT_LIST_DIR}/runqueries.c)
foreach(program dumptext runqueries)
    target_link_libraries(${program} PRIVATE emlfs_index emlfs_policy emlfs_importers
        PkgConfig::json_c)
endforeach()
list(APPEND script_environment
    EMLFS_DUMPTEXT=$<TARGET_FILE:dumptext>
    EMLFS_RUNQUERIES=$<TARGET_FILE:runqueries>
    EMLFS_MKMAIL=${PROJECT_BINARY_DIR}/tests/mkmail)
emlfs_script(search/language search 300 ${CMAKE_CURRENT_LIST_DIR}/differential.py --language)
emlfs_script(search/differential search 900 ${CMAKE_CURRENT_LIST_DIR}/differential.py)
set_tests_properties(search/differential PROPERTIES PROCESSORS 2 COST 100)
emlfs_script(search/no-word-in-clear search 900 ${CMAKE_CURRENT_LIST_DIR}/no_word_in_clear.py)
