# SPDX-License-Identifier: GPL-3.0-or-later
# The bench's programs: mkmail (generator) and benchread (readers). bench.py compiles them itself where they are missing.
file(GLOB mkmail_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/mkmail*.c)
add_executable(mkmail ${mkmail_sources})
target_link_libraries(mkmail PRIVATE emlfs_flags)
add_executable(benchread ${CMAKE_CURRENT_LIST_DIR}/benchread.c)
target_link_libraries(benchread PRIVATE emlfs_flags)
# What FUSE costs by itself: a mount that has everything in memory, served by emlfs's own loop.
if(TARGET emlfs_fs)
    add_executable(barefuse ${CMAKE_CURRENT_LIST_DIR}/barefuse.c)
    target_include_directories(barefuse PRIVATE ${PROJECT_SOURCE_DIR}/fs)
    target_link_libraries(barefuse PRIVATE emlfs_fs)
endif()
# The search bench's: mail with more words than there is, and the index without its surroundings.
add_executable(mailcopies ${CMAKE_CURRENT_LIST_DIR}/mailcopies.c)
target_link_libraries(mailcopies PRIVATE emlfs_flags)
if(TARGET emlfs_index)
    add_executable(indexbench ${CMAKE_CURRENT_LIST_DIR}/indexbench.c)
    target_link_libraries(indexbench PRIVATE emlfs_index emlfs_policy emlfs_importers
        PkgConfig::json_c)
endif()

# The same seed gives the same bytes in every layout, and the generated mail is what it claims to be.
add_test(NAME bench/mkmail
         COMMAND ${CMAKE_CURRENT_LIST_DIR}/test_mkmail.py $<TARGET_FILE:mkmail>)
# The whole bench once, on little mail, without peers or thresholds: that it runs and adds up.
if(TARGET emlfs)
    add_test(NAME bench/smoke
             COMMAND ${CMAKE_CURRENT_LIST_DIR}/run --smoke --tools $<TARGET_FILE_DIR:mkmail>)
    set_tests_properties(bench/smoke PROPERTIES LABELS bench TIMEOUT 300 SKIP_RETURN_CODE 77
                         ENVIRONMENT "EMLFS_BIN=$<TARGET_FILE:emlfs>")
endif()
if(TARGET emlfs AND TARGET indexbench)
    add_test(NAME bench/search-smoke
             COMMAND ${CMAKE_CURRENT_LIST_DIR}/run-search --smoke
                     --tools $<TARGET_FILE_DIR:indexbench>)
    set_tests_properties(bench/search-smoke PROPERTIES LABELS bench TIMEOUT 300
                         SKIP_RETURN_CODE 77 ENVIRONMENT "EMLFS_BIN=$<TARGET_FILE:emlfs>")
endif()
set_tests_properties(bench/mkmail PROPERTIES LABELS bench TIMEOUT 120)
