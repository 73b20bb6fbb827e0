# Headers, libraries, the package for find_package(arsenal) and the file for pkg-config.
include(CMakePackageConfigHelpers)

get_property(layers GLOBAL PROPERTY ARS_LAYERS)
set(libraries arsenal arsenal_shared)
foreach(layer ${layers})
  list(APPEND libraries arsenal_${layer})
endforeach()

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/arsenal DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS ${libraries} EXPORT arsenal
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/arsenal)
install(EXPORT arsenal NAMESPACE arsenal:: FILE arsenal-targets.cmake DESTINATION ${package})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/arsenal-config.cmake.in
  ${PROJECT_BINARY_DIR}/arsenal-config.cmake INSTALL_DESTINATION ${package})
# Before 1.0 a minor version may change the API.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/arsenal-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/arsenal-config.cmake ${PROJECT_BINARY_DIR}/arsenal-config-version.cmake
        DESTINATION ${package})

# The prefix is relative to the .pc file, so that the installed tree can be moved.
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
  set(pc_libdir ${CMAKE_INSTALL_LIBDIR})
else()
  file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  string(REGEX REPLACE "/$" "" up ${up})
  set(pc_prefix "\${pcfiledir}/${up}")
  set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
if(IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
  set(pc_includedir ${CMAKE_INSTALL_INCLUDEDIR})
else()
  set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/arsenal.pc.in ${PROJECT_BINARY_DIR}/arsenal.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/arsenal.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
