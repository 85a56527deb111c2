# SPDX-License-Identifier: GPL-3.0-or-later
# cmake --install: program, manual page, completion, documents. /sbin/mount.fuse.emlfs is not
# installed on purpose: mount(8) finds emlfs in PATH by the type fuse.emlfs, and mount.fuse3's
# setuid= and drop_privileges work only that way.
set(manual ${CMAKE_CURRENT_BINARY_DIR}/emlfs.1)
set(completion ${CMAKE_CURRENT_BINARY_DIR}/emlfs.bash)
add_custom_command(OUTPUT ${manual} ${completion}
    COMMAND emlfs help --man > ${manual}
    COMMAND emlfs help --completion > ${completion}
    DEPENDS emlfs VERBATIM COMMENT "Manual page and completion from the command table")
add_custom_target(emlfs_documents ALL DEPENDS ${manual} ${completion})

install(TARGETS emlfs RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# Dovecot runs the program by another name, to check passwords. The link leads nowhere until it is
# installed; it is installed as it is.
file(RELATIVE_PATH program ${CMAKE_INSTALL_FULL_LIBEXECDIR}/emlfs
     ${CMAKE_INSTALL_FULL_BINDIR}/emlfs)
file(CREATE_LINK ${program} ${CMAKE_CURRENT_BINARY_DIR}/checkpassword SYMBOLIC)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/checkpassword
        DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/emlfs)
install(FILES ${manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_SOURCE_DIR}/tools/doc/emlfs-query.7
        DESTINATION ${CMAKE_INSTALL_MANDIR}/man7)
install(FILES ${completion} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        RENAME emlfs)
install(FILES ${PROJECT_SOURCE_DIR}/tools/doc/updatedb.md ${PROJECT_SOURCE_DIR}/tools/doc/fstab.md
              ${PROJECT_SOURCE_DIR}/tools/doc/mnt-mail.mount
              ${PROJECT_SOURCE_DIR}/tools/doc/samba.md ${PROJECT_SOURCE_DIR}/tools/doc/smb.conf
              ${PROJECT_SOURCE_DIR}/tools/doc/imap.md ${PROJECT_SOURCE_DIR}/tools/doc/dovecot.conf
              ${PROJECT_SOURCE_DIR}/tools/doc/dovecot-acl
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# Not where a package is being made: its own scripts do it then. prunefs.cmake is installed for them,
# and to take it out again (-DACTION=remove).
install(FILES ${PROJECT_SOURCE_DIR}/tools/prunefs.cmake
        DESTINATION ${CMAKE_INSTALL_DATADIR}/emlfs)
install(CODE "
    if(\"\$ENV{DESTDIR}\" STREQUAL \"\" AND EXISTS /etc/updatedb.conf)
        execute_process(COMMAND \"${CMAKE_COMMAND}\" -DACTION=add -DCONF=/etc/updatedb.conf
                        -P \"${PROJECT_SOURCE_DIR}/tools/prunefs.cmake\" RESULT_VARIABLE result)
        if(NOT result EQUAL 0)
            message(WARNING \"updatedb.conf was not changed: see updatedb.md\")
        endif()
    endif()")
