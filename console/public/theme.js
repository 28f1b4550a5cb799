// Before the first paint: the theme and direction that were chosen last, so that nothing flashes.
(function () {
  var root = document.documentElement;
  try {
    var theme = localStorage.getItem('squad.theme');
    var language = localStorage.getItem('squad.language');
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
    if (language) {
      root.lang = language;
      root.dir = language === 'ar' ? 'rtl' : 'ltr';
    }
  } catch {
    // storage may be forbidden; the system's theme it is
  }
})();
