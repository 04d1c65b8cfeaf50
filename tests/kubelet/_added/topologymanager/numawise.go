// SPDX-License-Identifier: Apache-2.0

package topologymanager

// Stored returns the hint that is stored for a container, and whether one is.
func Stored(m Manager, podUID, containerName string) (TopologyHint, bool) {
	var s *scope
	switch typed := m.(*manager).scope.(type) {
	case *containerScope:
		s = &typed.scope
	case *podScope:
		s = &typed.scope
	case *noneScope:
		s = &typed.scope
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	hint, ok := s.podTopologyHints[podUID][containerName]
	return hint, ok
}

// Forget drops the hints of a pod that is gone, as RemoveContainer does for each of its
// containers; those of a pod that never ran stay in a kubelet for ever.
func Forget(m Manager, podUID string) {
	var s *scope
	switch typed := m.(*manager).scope.(type) {
	case *containerScope:
		s = &typed.scope
	case *podScope:
		s = &typed.scope
	case *noneScope:
		s = &typed.scope
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.podTopologyHints, podUID)
}
